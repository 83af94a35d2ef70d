// The bytes of an image: upload and download, streamed.
import { downloadImage } from '../../services/image/download';
import { STORE_ID } from '../../services/image/store';
import { uploadImage } from '../../services/image/upload';
import { ApiError, InvalidError } from '../../errors';
import { param } from '../query';
import type { ApiRequest, Handler } from '../route';
import { discardBody } from './discardBody';
import { requestedRange } from './range';

function requireOctets(request: ApiRequest): void {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/octet-stream') {
    throw new ApiError(
      415,
      'UnsupportedMediaType',
      `Invalid content type ${type ?? 'None'}: send application/octet-stream.`,
    );
  }
}

/** The announced number of bytes, if any. @throws InvalidError */
function declaredSize(request: ApiRequest): number | undefined {
  const text = request.headers['x-openstack-image-size'] ?? request.headers['content-length'];
  if (text === undefined) return undefined;
  if (typeof text !== 'string' || !/^\d{1,15}$/.test(text)) {
    throw new InvalidError('Invalid or missing image size in request headers.');
  }
  return Number(text);
}

/** Runs work that reads the body; when it is refused, reads on for a while so that the caller sees the answer. */
export async function withBody(
  request: ApiRequest,
  work: (declared: number | undefined) => Promise<void>,
): Promise<void> {
  try {
    requireOctets(request);
    await work(declaredSize(request));
  } catch (error) {
    await discardBody(request.stream);
    throw error;
  }
}

export const putFile: Handler = async (request, cloud) => {
  await withBody(request, async (declared) => {
    const store = request.headers['x-image-meta-store'];
    if (store !== undefined && store !== STORE_ID)
      throw new InvalidError(`Unknown scheme '${String(store)}' found in URI`);
    await uploadImage(cloud, request.caller, param(request, 'id'), { stream: request.stream, declared });
  });
  return { status: 204 };
};

export const getFile: Handler = async (request, cloud) => {
  const id = param(request, 'id');
  const opened = await downloadImage(cloud, request.caller, id, (size) => requestedRange(request.headers, size));
  if (!opened) return { status: 204 };
  const { image, stream, range, size } = opened;
  const length = range ? range.end - range.start + 1 : size;
  return {
    status: range ? 206 : 200,
    headers: {
      'Content-Type': 'application/octet-stream',
      'Content-Length': String(length),
      ...(image.checksum === null ? {} : { 'Content-MD5': image.checksum }),
      ...(range ? { 'Content-Range': `bytes ${range.start}-${range.end}/${size}` } : {}),
    },
    stream,
  };
};
