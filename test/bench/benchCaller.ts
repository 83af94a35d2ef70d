// Who asks, where tokens are not what is measured.
import type { Caller } from '@cumulet/controller';

export const benchCaller: Caller = {
  userId: 'u',
  userName: 'u',
  userDomainId: 'default',
  projectId: 'bench',
  projectName: 'bench',
  projectDomainId: 'default',
  domainId: null,
  systemScope: false,
  roles: ['admin', 'member', 'reader'],
  isAdmin: true,
  auditIds: ['a'],
  expiresAt: 4e12,
  methods: ['password'],
};
