// Images for tests that speak HTTP to a controller.
import { readdirSync } from 'node:fs';
import { parseConfig } from '@cumulet/common';
import { ControllerConfig } from '@cumulet/controller';
import { startTestCloud, type Answer, type TestCloud } from './testCloud';

type Limits = ControllerConfig['image'];

/** A cloud whose image limits differ from the defaults; nothing is kept free on the disk. */
export function startImageCloud(
  limits: Partial<Limits> = {},
  config: Partial<ControllerConfig> = {},
): Promise<TestCloud> {
  const image = { ...parseConfig(ControllerConfig, '', 'defaults').image, keep_free_mib: 0, ...limits };
  return startTestCloud({ config: { ...config, image } });
}

/** Creates a raw image and returns it as the API shows it. */
export async function createImage(
  cloud: TestCloud,
  body: object = {},
  token = 'demo',
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into bodies freely
): Promise<any> {
  const answer = await cloud.call('POST', '/image/v2/images', {
    token,
    body: { name: 'test', disk_format: 'raw', container_format: 'bare', ...body },
  });
  if (answer.status !== 201) throw new Error(`create: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** Uploads bytes. */
export function upload(cloud: TestCloud, id: string, bytes: Buffer | string, token = 'demo'): Promise<Answer> {
  return cloud.call('PUT', `/image/v2/images/${id}/file`, {
    token,
    body: bytes,
    headers: { 'content-type': 'application/octet-stream' },
  });
}

/** A raw image with data. */
export async function activeImage(
  cloud: TestCloud,
  body: object = {},
  token = 'demo',
  bytes: Buffer | string = 'some bytes',
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into bodies freely
): Promise<any> {
  const image = await createImage(cloud, body, token);
  const answer = await upload(cloud, image.id as string, bytes, token);
  if (answer.status !== 204) throw new Error(`upload: ${answer.status} ${JSON.stringify(answer.body)}`);
  return (await cloud.call('GET', `/image/v2/images/${image.id as string}`, { token })).body;
}

/** Applies JSON patch operations. */
export function patch(
  cloud: TestCloud,
  id: string,
  operations: unknown,
  token = 'demo',
  version = '2.1',
): Promise<Answer> {
  return cloud.call('PATCH', `/image/v2/images/${id}`, {
    token,
    body: JSON.stringify(operations),
    headers: { 'content-type': `application/openstack-images-v${version}-json-patch` },
  });
}

/** The files in a directory of images, without the mark of the cloud's. */
export const imageFiles = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => !name.startsWith('.'))
    .sort();
