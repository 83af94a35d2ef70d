// Members of a shared image: the owner chooses the projects, each project answers for itself.
import type { Cloud } from '../../cloud';
import { isDuplicate, type ReadSession } from '../../db';
import { imageMembers, type ImageMember } from '../../db/entities/image';
import { ConflictError, ForbiddenError, InvalidError, NotFoundError, TooLargeError } from '../../errors';
import type { Caller } from '../caller';
import { authorizedImage } from './access';
import type { ImageRecord } from './record';

const ANSWERS = ['pending', 'accepted', 'rejected'];

async function sharedImage(
  session: ReadSession,
  cloud: Cloud,
  caller: Caller,
  id: string,
  rule: string,
): Promise<ImageRecord> {
  const image = await authorizedImage(session, cloud, caller, id, 'image:get_image');
  if (image.visibility !== 'shared') throw new ForbiddenError('Only shared images have members.');
  cloud.policy.require(caller, rule, { project_id: image.owner, member_id: image.memberId });
  return image;
}

/** Owners and administrators see all members, a member only itself. */
function seesAll(caller: Caller, image: ImageRecord): boolean {
  return caller.isAdmin || (caller.projectId !== null && caller.projectId === image.owner);
}

async function findMember(
  session: ReadSession,
  caller: Caller,
  image: ImageRecord,
  member: string,
): Promise<ImageMember> {
  const row =
    seesAll(caller, image) || member === caller.projectId
      ? await session.findOne(imageMembers, { image_id: image.id, member_id: member })
      : undefined;
  if (!row) throw new NotFoundError(`${member} not found in the member list of the image ${image.id}.`);
  return row;
}

/** Shares an image with a project. @throws NotFoundError, ForbiddenError, ConflictError (member already), TooLargeError */
export async function addMember(cloud: Cloud, caller: Caller, id: string, member: string): Promise<ImageMember> {
  const now = cloud.clock.now();
  try {
    return await cloud.db.write(async (session) => {
      await sharedImage(session, cloud, caller, id, 'image:add_member');
      const count = await session.count(imageMembers, { image_id: id });
      const maximum = cloud.config.image.max_members;
      if (maximum >= 0 && count >= maximum) {
        throw new TooLargeError(
          `Image member limit exceeded for image ${id}. Attempted: ${count + 1}, Maximum: ${maximum}`,
        );
      }
      const row = { image_id: id, member_id: member, status: 'pending', created_at: now, updated_at: now };
      await session.insert(imageMembers, row);
      return row;
    });
  } catch (error) {
    throw isDuplicate(error) ? new ConflictError(`Member ${member} is duplicated for image ${id}`) : error;
  }
}

/** All members the caller may see. @throws NotFoundError, ForbiddenError */
export async function listMembers(cloud: Cloud, caller: Caller, id: string): Promise<ImageMember[]> {
  return cloud.db.read(async (session) => {
    const image = await sharedImage(session, cloud, caller, id, 'image:get_members');
    const only = seesAll(caller, image) ? {} : { member_id: caller.projectId ?? '' };
    return session.find(imageMembers, {
      where: { image_id: id, ...only },
      order: { created_at: 'ASC', member_id: 'ASC' },
    });
  });
}

/** @throws NotFoundError: whatever is missing, so that nothing leaks. */
export async function showMember(cloud: Cloud, caller: Caller, id: string, member: string): Promise<ImageMember> {
  return cloud.db.read(async (session) => {
    try {
      return await findMember(
        session,
        caller,
        await sharedImage(session, cloud, caller, id, 'image:get_members'),
        member,
      );
    } catch (error) {
      throw error instanceof ForbiddenError ? new NotFoundError(error.message) : error;
    }
  });
}

/** A project's answer to a shared image. @throws NotFoundError, ForbiddenError (the owner may not answer), InvalidError */
export async function answerMember(
  cloud: Cloud,
  caller: Caller,
  id: string,
  member: string,
  status: string,
): Promise<ImageMember> {
  return cloud.db.write(async (session) => {
    const image = await sharedImage(session, cloud, caller, id, 'image:get_members');
    const row = await findMember(session, caller, image, member);
    cloud.policy.require(caller, 'image:modify_member', { project_id: image.owner, member_id: image.memberId });
    if (!ANSWERS.includes(status)) throw new InvalidError('Status must be "pending", "accepted" or "rejected".');
    const set = { status, updated_at: cloud.clock.now() };
    await session.update(imageMembers, { image_id: id, member_id: member }, set);
    return { ...row, ...set };
  });
}

/** Ends the sharing with a project. @throws NotFoundError, ForbiddenError */
export async function removeMember(cloud: Cloud, caller: Caller, id: string, member: string): Promise<void> {
  await cloud.db.write(async (session) => {
    const image = await sharedImage(session, cloud, caller, id, 'image:delete_member');
    await findMember(session, caller, image, member);
    await session.delete(imageMembers, { image_id: id, member_id: member });
  });
}
