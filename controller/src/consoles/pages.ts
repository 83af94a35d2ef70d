// The files that a browser needs for a console: ours, noVNC and xterm.js, all from this origin.
import type { IncomingMessage } from 'node:http';
import { dirname, join } from 'node:path';
import { CONSOLE_KINDS } from '@cumulet/common';
import express, { Router, type NextFunction, type Request, type Response } from 'express';

const own = join(__dirname, '..', '..', 'web');
const xterm = dirname(require.resolve('@xterm/xterm/package.json'));
const fit = dirname(require.resolve('@xterm/addon-fit/package.json'));
/** Its `exports` name only the entry, `core/rfb.js`. */
const novnc = dirname(dirname(require.resolve('@novnc/novnc')));

/** Directories by what the pages call them. */
const directories: Readonly<Record<string, string>> = {
  web: own,
  'novnc/core': join(novnc, 'core'),
  'novnc/vendor': join(novnc, 'vendor'),
  'xterm/lib': join(xterm, 'lib'),
  'xterm/css': join(xterm, 'css'),
  'fit/lib': join(fit, 'lib'),
};

/** Scripts only from here, no frame around it, and the ticket in the address goes nowhere. xterm.js writes style elements. */
function securityHeaders(origin: string): Record<string, string> {
  const socket = origin.replace(/^http/, 'ws');
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    'img-src data: blob:',
    `connect-src 'self' ${socket}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    'content-security-policy': policy.join('; '),
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  };
}

/** @param originOf - scheme and authority by which the caller reached us */
export function consolePages(originOf: (request: IncomingMessage) => string): Router {
  const router = Router({ caseSensitive: true });
  for (const kind of CONSOLE_KINDS)
    router.get(`/${kind}`, (request, response) => {
      response.set(securityHeaders(originOf(request))).sendFile(join(own, `${kind}.html`));
    });
  for (const [name, directory] of Object.entries(directories))
    router.use(`/files/${name}`, express.static(directory, { index: false, redirect: false }));
  // Without this Express would tell where its files are.
  router.use((_error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    response.status(404).type('text').send('There is no such file.\n');
  });
  return router;
}
