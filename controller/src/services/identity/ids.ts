// Ids of the identity service: 32 hexadecimal digits, as its clients expect.
import { newId } from '@cumulet/common';

export function identityId(): string {
  return newId().replaceAll('-', '');
}
