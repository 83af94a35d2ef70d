export * from './cloud';
export * from './config';
export * from './controller';
export * from './db';
export * from './errors';
export * from './services/caller';
