// What bodies of users may hold. Other attributes are allowed and kept.
import { Type, type Static } from '@sinclair/typebox';
import { Description, IdText, nameOf, nullable } from './fields';

const Flag = Type.Optional(nullable(Type.Boolean()));
const Factors = Type.Array(Type.Array(Type.String(), { minItems: 1, uniqueItems: true }), { uniqueItems: true });
const Options = Type.Object(
  {
    ignore_change_password_upon_first_use: Flag,
    ignore_password_expiry: Flag,
    ignore_lockout_failure_attempts: Flag,
    ignore_user_inactivity: Flag,
    lock_password: Flag,
    multi_factor_auth_enabled: Flag,
    multi_factor_auth_rules: Type.Optional(nullable(Factors)),
  },
  { additionalProperties: false },
);
/** Longer passwords only cost time. */
const Password = Type.String({ maxLength: 4096 });

const changeable = {
  default_project_id: Type.Optional(nullable(IdText)),
  description: Type.Optional(Description),
  enabled: Type.Optional(Type.Boolean()),
  options: Type.Optional(Options),
  password: Type.Optional(nullable(Password)),
};

export const UserCreate = Type.Object({
  user: Type.Object({ name: nameOf(255), domain_id: Type.Optional(IdText), ...changeable }),
});
export type UserCreate = Static<typeof UserCreate>['user'];
export const UserUpdate = Type.Object({
  user: Type.Object(
    { name: Type.Optional(nameOf(255)), domain_id: Type.Optional(IdText), ...changeable },
    { minProperties: 1 },
  ),
});
export type UserUpdate = Static<typeof UserUpdate>['user'];
export const PasswordChange = Type.Object({
  user: Type.Object({ original_password: Type.String({ maxLength: 4096 }), password: Password }),
});
export type PasswordChange = Static<typeof PasswordChange>['user'];

export const USER_FIELDS = [
  'name',
  'domain_id',
  'default_project_id',
  'description',
  'enabled',
  'options',
  'password',
  'original_password',
  'password_expires_at',
] as const;
