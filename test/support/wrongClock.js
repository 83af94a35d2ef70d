// Makes the clock of a process wrong, before anything else of it runs: node --require wrongClock.js; half a minute ahead.
const AHEAD_MS = 30_000;
const RealDate = Date;

globalThis.Date = class extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(RealDate.now() + AHEAD_MS);
    else super(...parts);
  }

  static now() {
    return RealDate.now() + AHEAD_MS;
  }
};
