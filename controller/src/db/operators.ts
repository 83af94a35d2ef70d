// Conditions for `where`, without opening the ORM to everybody.
export { In, IsNull, LessThan, LessThanOrEqual, MoreThan, Not } from 'typeorm';
