// Every host command that the code runs comes from a package that `up` installs, or from one that every Debian has.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { root } from '../../support/checkout';

/** Command -> its Debian package. */
const PACKAGE: Readonly<Record<string, string>> = {
  arping: 'iputils-arping',
  bridge: 'iproute2',
  busctl: 'systemd',
  conntrack: 'conntrack',
  cp: 'coreutils',
  dnsmasq: 'dnsmasq-base',
  genisoimage: 'genisoimage',
  getent: 'libc-bin',
  ip: 'iproute2',
  'ip6tables-restore': 'iptables',
  'ip6tables-save': 'iptables',
  ipset: 'ipset',
  'iptables-restore': 'iptables',
  'iptables-save': 'iptables',
  modprobe: 'kmod',
  nft: 'nftables',
  nsenter: 'util-linux',
  openssl: 'openssl',
  ping: 'iputils-ping',
  prlimit: 'util-linux',
  'qemu-img': 'qemu-utils',
  setpriv: 'util-linux',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  sysctl: 'procps',
};
/** Essential: no Debian or Ubuntu is without them. */
const ESSENTIAL = ['coreutils', 'libc-bin', 'util-linux'];
/** Run only for what is not there without them: firewalld, which is asked over the bus. */
const OPTIONAL = ['systemd'];
/** A function that runs a command: which of its arguments holds it, by itself or as the first of an array, and where. */
interface Runner {
  readonly argument: number;
  readonly files: RegExp;
}
const anywhere = { argument: 0, files: /./ };
const services = { argument: 0, files: /^(?!cli)/ };
const RUNNERS: ReadonlyMap<string, Runner> = new Map([
  ['execFile', anywhere],
  ['execFileSync', anywhere],
  ['spawn', anywhere],
  ['spawnSync', anywhere],
  ['exec', services],
  ['inside', services],
  ['execIn', services],
  ['refusal', { argument: 1, files: /^network-agent/ }],
  ['runSteps', { argument: 2, files: /^network-agent/ }],
  ['run', { argument: 0, files: /reach\.ts$/ }],
]);
/** Where a runner runs what its own caller names: the callers are looked at instead. */
const PASSED_ON = [
  'cli/src/up/reach.ts: command',
  'common/src/exec.ts: command',
  'common/src/execWorker.ts: argv',
  'common/src/inheritedSocket.ts: command',
  // The fencing command of the configuration.
  'controller/src/conductor/fencing.ts: [...command, host]',
  "network-agent/src/ipBatch.ts: [command, '-batch', '-']",
  'network-agent/src/refused.ts: argv',
];
/** These run what stands behind their options. */
const WRAPPERS = ['nsenter', 'prlimit', 'setpriv'];
/** Node.js, by which all of this runs. */
const NODE = 'process.execPath';

/** The constants of all files by name, as a runner may take its words from another file. */
const constants = new Map<string, ts.Expression[]>();
const calls: { readonly file: string; readonly argument: ts.Expression | undefined }[] = [];

/** The name of a called function; `execIn(exec, namespace)([...])` counts as execIn. */
function called(callee: ts.Expression): string | undefined {
  if (ts.isIdentifier(callee)) return callee.text;
  return ts.isCallExpression(callee) && callee.expression.getText() === 'execIn' ? 'execIn' : undefined;
}

function visit(file: string, node: ts.Node): void {
  if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer) {
    constants.set(node.name.text, [...(constants.get(node.name.text) ?? []), node.initializer]);
  }
  if (ts.isCallExpression(node)) {
    const name = called(node.expression);
    const runner = RUNNERS.get(name ?? '');
    const made = name === 'execIn' && ts.isIdentifier(node.expression);
    if (runner?.files.test(file) && !made) calls.push({ file, argument: node.arguments[runner.argument] });
  }
  node.forEachChild((child) => visit(file, child));
}

const sourceOf = (node: ts.Node): string => path.relative(root, node.getSourceFile().fileName);

/** What a constant of that name may be: the file's own, else an imported one. */
function initializers(name: ts.Identifier): readonly ts.Expression[] {
  const all = constants.get(name.text) ?? [];
  const own = all.filter((expression) => sourceOf(expression) === sourceOf(name));
  const imports = name.getSourceFile().statements.filter(ts.isImportDeclaration);
  const imported = imports.some((statement) => new RegExp(`\\b${name.text}\\b`).test(statement.getText()));
  return own.length === 0 && imported ? all : own;
}

/** Every text that an expression may be; `undefined` among them when that can't be told. */
function texts(node: ts.Expression): (string | undefined)[] {
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (node.getText() === NODE) return [NODE];
  if (ts.isAsExpression(node) || ts.isParenthesizedExpression(node)) return texts(node.expression);
  if (ts.isConditionalExpression(node)) return [...texts(node.whenTrue), ...texts(node.whenFalse)];
  if (ts.isElementAccessExpression(node) && ts.isIdentifier(node.expression)) {
    return initializers(node.expression).flatMap(members);
  }
  if (ts.isTemplateExpression(node)) {
    return node.templateSpans.reduce<(string | undefined)[]>(
      (before, { expression, literal }) =>
        before.flatMap((head) =>
          texts(expression).map((text) =>
            head === undefined || text === undefined ? undefined : head + text + literal.text,
          ),
        ),
      [node.head.text],
    );
  }
  return [undefined];
}

/** The values of an object literal. */
function members(node: ts.Expression): (string | undefined)[] {
  const object = ts.isAsExpression(node) ? node.expression : node;
  if (!ts.isObjectLiteralExpression(object)) return [undefined];
  return object.properties.flatMap((property) =>
    ts.isPropertyAssignment(property) ? texts(property.initializer) : [undefined],
  );
}

/** An array's elements, with those of the constants and of the results of functions that are spread into it. */
function elements(node: ts.Expression): ts.Expression[] {
  const name = ts.isCallExpression(node) ? node.expression : node;
  const [constant] = ts.isIdentifier(name) ? initializers(name) : [];
  if (constant) return elements(constant);
  if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) return elements(node.body);
  if (!ts.isArrayLiteralExpression(node)) return [node];
  return node.elements.flatMap((element) => (ts.isSpreadElement(element) ? elements(element.expression) : [element]));
}

/** The commands that an argument names: the first word, and behind a wrapper's options the next one. */
function commandsOf(argument: ts.Expression): (string | undefined)[] {
  const [first, ...rest] = elements(argument);
  if (!first) return [undefined];
  const names = texts(first);
  if (!names.some((name) => name !== undefined && WRAPPERS.includes(name))) return names;
  const command = rest.find((word) => !/^[`'"]--|^argv$/.test(word.getText()));
  return [...names, ...(command ? texts(command) : [])];
}

const commands = new Set<string>();
const unclear = new Set<string>();

beforeAll(() => {
  const workspaces = readdirSync(root).filter((name) => existsSync(path.join(root, name, 'src')));
  for (const workspace of workspaces) {
    const folder = path.join(root, workspace, 'src');
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue;
      const file = path.join(folder, name);
      const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
      visit(path.relative(root, file), source);
    }
  }
  for (const { file, argument } of calls) {
    // A runner's argument with a default is left out.
    for (const name of argument ? commandsOf(argument) : []) {
      if (name === undefined) unclear.add(`${file}: ${argument?.getText() ?? ''}`);
      else if (name !== NODE) commands.add(name);
    }
  }
});

/** What packages.sh says `up` installs. */
function runtimePackages(): string[] {
  const script = `. ${path.join(root, 'install/packages.sh')}; echo $RUNTIME`;
  return execFileSync('sh', ['-euc', script], { encoding: 'utf8' }).trim().split(' ');
}

test('the command can be told at every place that runs one', () => {
  expect([...unclear].sort()).toEqual(PASSED_ON);
});

test('the package of every command is known, and none is listed that nothing runs', () => {
  expect([...commands].sort()).toEqual(Object.keys(PACKAGE).sort());
});

test('every one of these packages is installed by up', () => {
  const there = new Set([...runtimePackages(), ...ESSENTIAL, ...OPTIONAL]);
  expect(Object.entries(PACKAGE).filter(([, name]) => !there.has(name))).toEqual([]);
});
