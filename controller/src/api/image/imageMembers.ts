// The projects that a shared image is shared with.
import type { ImageMember } from '../../db/entities/image';
import { InvalidError } from '../../errors';
import { addMember, answerMember, listMembers, removeMember, showMember } from '../../services/image/members';
import { param } from '../query';
import type { Handler } from '../route';
import { wireTime } from './imageView';

function memberView(member: ImageMember): object {
  return {
    member_id: member.member_id,
    image_id: member.image_id,
    status: member.status,
    created_at: wireTime(member.created_at),
    updated_at: wireTime(member.updated_at),
    schema: '/v2/schemas/member',
  };
}

/** A text in the body. @throws InvalidError */
function field(body: unknown, name: 'member' | 'status'): string {
  if (body === undefined) throw new InvalidError('Body expected in request.');
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidError(`Expected a ${name} in the form: {"${name}": "..."}`);
  }
  const value = (body as Record<string, unknown>)[name];
  if (value === undefined) {
    throw new InvalidError(name === 'member' ? 'Member to be added not specified' : 'Status not specified');
  }
  if (value === '' || value === null)
    throw new InvalidError(`${name === 'member' ? 'Member' : 'Status'} can't be empty`);
  if (typeof value !== 'string' || value.length > 255) {
    throw new InvalidError(`Expected a ${name} in the form: {"${name}": "..."}`);
  }
  return value;
}

export const postMember: Handler = async (request, cloud) => {
  const member = await addMember(cloud, request.caller, param(request, 'id'), field(request.body, 'member'));
  return { status: 200, body: memberView(member) };
};

export const getMembers: Handler = async (request, cloud) => {
  const members = await listMembers(cloud, request.caller, param(request, 'id'));
  return { status: 200, body: { members: members.map(memberView), schema: '/v2/schemas/members' } };
};

export const getMember: Handler = async (request, cloud) => {
  const { id = '', member = '' } = request.params;
  return { status: 200, body: memberView(await showMember(cloud, request.caller, id, member)) };
};

export const putMember: Handler = async (request, cloud) => {
  const { id = '', member = '' } = request.params;
  const status = field(request.body, 'status');
  return { status: 200, body: memberView(await answerMember(cloud, request.caller, id, member, status)) };
};

export const deleteMember: Handler = async (request, cloud) => {
  const { id = '', member = '' } = request.params;
  await removeMember(cloud, request.caller, id, member);
  return { status: 204 };
};
