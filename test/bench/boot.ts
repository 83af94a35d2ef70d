// create -> ACTIVE against the floor: making the overlay and starting the same domain directly through libvirt.
import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { exec } from '@cumulet/common';
import { LibvirtClient } from '@cumulet/libvirt';
import { createServer, deleteServer, until, type RealCloud, type Content } from '../support/realCloud';
import { figure, percentile, ratioInterval, timed, type Figure } from './figure';

const INACTIVE = 2;

/** The domain of a running server under another name, with a tap of libvirt's own, and an overlay and a console log of its own. */
function floorXml(xml: string, id: string, disk: string, consoleLog: string): string {
  return xml
    .replace(/<name>[^<]*<\/name>/, `<name>bench-${id}</name>`)
    .replace(/<uuid>[^<]*<\/uuid>/, `<uuid>${id}</uuid>`)
    .replace(/<metadata>[\s\S]*?<\/metadata>/, '')
    .replace(/<entry name='(serial|uuid)'>[^<]*<\/entry>/g, `<entry name='$1'>${id}</entry>`)
    .replace(/<disk type='file' device='cdrom'>[\s\S]*?<\/disk>/g, '')
    .replace(/<backingStore[\s\S]*<\/backingStore>/, '')
    .replace(/<source file='[^']*'\/>/, `<source file='${disk}'/>`)
    .replace(/<mac address='[^']*'\/>\s*/g, '')
    .replace(/<target dev='tap[^']*' managed='no'\/>\s*/g, '')
    .replace(/<log file='[^']*'/, `<log file='${consoleLog}'`);
}

interface Step {
  readonly step: string;
  readonly milliseconds: number;
}

async function timelineOf(cloud: RealCloud, id: string): Promise<Step[]> {
  const { tasks } = await cloud.call<{ tasks: { steps: Step[] }[] }>('GET', `/cumulet/v1/servers/${id}/timeline`);
  return tasks[0]?.steps ?? [];
}

/** 30 of each, alternating in one run. */
export async function benchBoot(cloud: RealCloud, content: Content, count = 30): Promise<Figure[]> {
  const libvirt = await LibvirtClient.connect({ uri: 'qemu:///system' });
  const sample = await createServer(cloud, content, 'bench-sample');
  await until(cloud, sample, 'ACTIVE');
  const xml = await libvirt.domainXml(sample, INACTIVE);
  // The cached image: a server's own name for it goes with the server.
  const images = join(cloud.directory, 'data/host/images');
  const base = join(images, readdirSync(images)[0] ?? '');
  await deleteServer(cloud, sample);

  const floors: number[] = [];
  const creates: number[] = [];
  const deletes: number[] = [];
  const removals: number[] = [];
  const steps = new Map<string, number[]>();
  for (let round = 0; round < count; round++) {
    const id = randomUUID();
    const disk = join(cloud.directory, `${id}.qcow2`);
    const domain = floorXml(xml, id, disk, join(cloud.directory, `${id}.log`));
    floors.push(
      await timed(async () => {
        await exec(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base, disk, '1G']);
        await libvirt.defineDomain(domain);
        await libvirt.startDomain(id);
      }),
    );
    removals.push(
      await timed(async () => {
        await libvirt.destroyDomain(id);
        await libvirt.undefineDomain(id, 0);
        rmSync(disk);
      }),
    );
    let server = '';
    creates.push(
      await timed(async () => {
        server = await createServer(cloud, content, `bench-${round}`);
        await until(cloud, server, 'ACTIVE');
      }),
    );
    for (const { step, milliseconds } of await timelineOf(cloud, server))
      steps.set(step, [...(steps.get(step) ?? []), milliseconds]);
    deletes.push(await timed(() => deleteServer(cloud, server)));
  }
  await libvirt.close();
  const [p50, floor] = [percentile(creates, 0.5), percentile(floors, 0.5)];
  const [low, high] = ratioInterval(creates, floors);
  const gone = percentile(deletes, 0.5);
  const reported = (name: string, value: number, unit: string, than: number | null = null): Figure =>
    figure(name, value, unit, 'reported', true, than);
  return [
    figure('server create to ACTIVE, p50', p50, 'ms', '<= 1.3 times the floor', p50 <= 1.3 * floor, floor),
    reported('server create to ACTIVE, p95', percentile(creates, 0.95), 'ms', percentile(floors, 0.95)),
    reported('server create / floor, low end of the 95 % interval', low, 'times'),
    reported('server create / floor, high end of the 95 % interval', high, 'times'),
    figure('server create, overhead over the floor, p50', p50 - floor, 'ms', '<= 150 ms', p50 - floor <= 150),
    ...[...steps].map(([step, values]) => reported(`server create, step ${step}, p50`, percentile(values, 0.5), 'ms')),
    figure('server delete to gone, p50', gone, 'ms', '<= 300 ms', gone <= 300, percentile(removals, 0.5)),
  ];
}
