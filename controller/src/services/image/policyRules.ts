// Default rules of the image service: who may do what with an image that is theirs, shared with them or open to all.
import type { PolicyRules } from '../policy/policy';

const seen =
  "project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s";

/** Names follow the operations of the image API; targets have project_id (the owner), member_id (the caller, if shared with) and visibility. */
export const imageRules: PolicyRules = {
  'image:add_image': 'rule:admin or (rule:project_member and project_id:%(owner)s)',
  'image:get_images': 'rule:admin or role:reader',
  'image:get_image': `rule:admin or (role:reader and (${seen}))`,
  'image:download_image': `rule:admin or (role:member and (${seen}))`,
  'image:modify_image': 'rule:admin_or_member',
  'image:delete_image': 'rule:admin_or_member',
  'image:upload_image': 'rule:admin_or_member',
  'image:publicize_image': 'rule:admin',
  'image:communitize_image': 'rule:admin_or_member',
  'image:deactivate': 'rule:admin_or_member',
  'image:reactivate': 'rule:admin_or_member',
  'image:add_member': 'rule:admin_or_member',
  'image:delete_member': 'rule:admin_or_member',
  'image:get_members': 'rule:admin or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s))',
  'image:modify_member': 'rule:admin or (role:member and project_id:%(member_id)s)',
  'image:stores_info_detail': 'rule:admin',
};
