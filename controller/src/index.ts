export * from './cloud';
export * from './conductor/engine';
export * from './conductor/task';
export * from './config';
export * from './controller';
export * from './db';
export * from './errors';
export * from './services/caller';
