// Conditions for `where`, without opening the ORM to everybody.
export { In, IsNull, LessThan, LessThanOrEqual, MoreThanOrEqual, MoreThan, Not } from 'typeorm';
