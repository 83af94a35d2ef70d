export * from './config';
export * from './standalone';
