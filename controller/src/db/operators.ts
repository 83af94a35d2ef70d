// Conditions for `where`, without opening the ORM to everybody.
export { Between, In, IsNull, LessThan, LessThanOrEqual, Like, MoreThan, MoreThanOrEqual, Not } from 'typeorm';
