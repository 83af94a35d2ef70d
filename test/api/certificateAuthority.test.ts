// The certificate authority and the broker's files, as the administrator's commands make them.
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { exec } from '@cumulet/common';
import { addPeer, initCa } from '@cumulet/controller';
import { agentApiScene } from '../support/agentApiScene';

const scene = agentApiScene();

describe('the administrator’s commands', () => {
  const at = (...path: string[]): string => join(scene.ca.directory, ...path);

  test('keep secrets to the administrator and put no password into the broker’s file', () => {
    for (const file of ['ca/ca.key', 'ca/broker-password', 'ctl/certificate.key', 'node-1/certificate.key'])
      expect([file, statSync(at(file)).mode & 0o777]).toEqual([file, 0o600]);
    expect(statSync(at('ca')).mode & 0o777).toBe(0o700);
    const password = readFileSync(at('node-1/broker-password'), 'utf8').trim();
    expect(readFileSync(at('node-1/broker.json'), 'utf8')).not.toContain(password);
    expect(readFileSync(at('ctl/broker-password'), 'utf8')).toBe(readFileSync(at('ca/broker-password'), 'utf8'));
    expect(existsSync(at('node-1/ca.key'))).toBe(false);
  });

  test('a certificate is from our CA, names its host, and is no CA itself', () => {
    const certificate = new X509Certificate(readFileSync(at('node-1/certificate.crt')));
    const authority = new X509Certificate(readFileSync(at('ca/ca.crt')));
    expect(certificate.checkIssued(authority)).toBe(true);
    expect(certificate.verify(authority.publicKey)).toBe(true);
    expect(certificate.subject.split('\n')).toEqual(['O=cumulet', 'OU=host', 'CN=node-1']);
    expect([authority.ca, certificate.ca]).toEqual([true, false]);
  });

  test('nothing is overwritten by accident; a renewal keeps the broker’s password', async () => {
    const password = readFileSync(at('node-1/broker-password'), 'utf8');
    const before = readFileSync(at('node-1/certificate.crt'), 'utf8');
    const add = (name: string, renew: boolean) =>
      addPeer(exec, at('ca'), { role: 'host', name }, at(name), 'cumulet', renew);
    await expect(initCa(exec, at('ca'), 'cumulet')).rejects.toMatchObject({ code: 'exists' });
    await expect(add('node-1', false)).rejects.toMatchObject({ code: 'exists' });
    await expect(add('node-9', true)).rejects.toMatchObject({ code: 'not_there' });
    for (const name of ['', '-x', 'a b', 'x/y', 'new\nline', '*'])
      await expect(addPeer(exec, at('ca'), { role: 'host', name }, at('bad'), 'cumulet', false)).rejects.toMatchObject({
        code: 'bad_name',
      });
    await add('node-1', true);
    expect(readFileSync(at('node-1/certificate.crt'), 'utf8')).not.toBe(before);
    expect(readFileSync(at('node-1/broker-password'), 'utf8')).toBe(password);
    await expect(scene.clientOf('node-1').networkChanges('x', 0)).resolves.toMatchObject({ reload: true });
  });
});
