// What several router operations do to a router's row.
import { routers, type Router } from '../../db/entities/network';
import { touched, type NetworkContext } from './context';

/** Counts a change of what hangs on a router. */
export async function touchRouter(context: NetworkContext, router: Router): Promise<Router> {
  const set = touched(context, router);
  await context.session.update(routers, { id: router.id }, set);
  return { ...router, ...set };
}
