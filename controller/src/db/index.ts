// The database as the rest of the controller sees it.
export * from './columns';
export * from './copy';
export * from './counter';
export * from './database';
export * from './inspect';
export * from './failures';
export * from './groupBy';
export * from './list';
export * from './operators';
export * from './options';
export {
  type FindOptions,
  type InsertRow,
  type Lock,
  type ReadSession,
  type Where,
  type WriteSession,
} from './session';
