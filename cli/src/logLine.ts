// One line of a log of the cloud: JSON as the processes write it, made readable.

/** Numbers of pino's levels. */
const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

type Fields = Readonly<Record<string, unknown>>;

/** The fields of a line; undefined when it is not ours, as what Node.js itself says. */
function fieldsOf(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'level' in value ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** A failure by its message; texts as they are, unless blanks would join them to others. */
function shown(value: unknown): string {
  const message = (value as { readonly message?: unknown } | null)?.message;
  const plain = typeof message === 'string' ? message : value;
  return typeof plain === 'string' && /^[^\s"=]+$/.test(plain) ? plain : JSON.stringify(plain);
}

/** Time, level, component, message, the other fields, and the request at the end. Other lines stay as they are. */
export function logLine(line: string): string {
  const fields = fieldsOf(line);
  if (!fields) return line;
  const { level, time, component, msg, request_id: request, ...rest } = fields;
  const word = (value: unknown): string[] => (typeof value === 'string' ? [value] : []);
  return [
    ...word(time),
    (LEVELS[Number(level)] ?? shown(level)).padEnd(5),
    ...word(component),
    ...word(msg),
    ...Object.entries(rest).map(([name, value]) => `${name}=${shown(value)}`),
    ...word(request).map((id) => `[${id}]`),
  ].join(' ');
}

/** Whether a line names one of these ids. */
export function mentions(line: string, ids: ReadonlySet<string>): boolean {
  return (line.match(/[\w-]+/g) ?? []).some((word) => ids.has(word));
}
