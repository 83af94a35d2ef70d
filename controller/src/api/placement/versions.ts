// The version document of the placement API, which clients read without a token.
import type { Handler } from '../route';
import { answer } from './answer';
import { maximumVersion, minimumVersion, versionText } from './microversion';

export const root: Handler = (request, cloud) =>
  answer(request, cloud, {
    body: {
      versions: [
        {
          id: `v${versionText(minimumVersion)}`,
          max_version: versionText(maximumVersion),
          min_version: versionText(minimumVersion),
          status: 'CURRENT',
          links: [{ rel: 'self', href: '' }],
        },
      ],
    },
  });
