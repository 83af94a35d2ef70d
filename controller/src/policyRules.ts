// The rules that hold in a cloud: the defaults of every service with an administrator's file on top.
import { cumuletRules } from './api/cumulet/routes';
import type { ControllerConfig } from './config';
import { computePolicyRules } from './services/compute/policyRules';
import { identityRules } from './services/identity/policyRules';
import { imageRules } from './services/image/policyRules';
import { networkRules } from './services/network/policyRules';
import { placementRules } from './services/placement/policyRules';
import { baseRules, createPolicy, loadPolicyFile, type PolicyRules } from './services/policy/policy';

const defaultRules: PolicyRules = {
  ...baseRules,
  ...cumuletRules,
  ...identityRules,
  ...imageRules,
  ...networkRules,
  ...computePolicyRules,
  ...placementRules,
};

/** All rules by name. @throws ConfigError for a file that can't be read or names a rule that nothing asks for */
export function rulesOf({ policy_file }: Pick<ControllerConfig, 'policy_file'>): PolicyRules {
  return policy_file === null ? defaultRules : { ...defaultRules, ...loadPolicyFile(policy_file, defaultRules) };
}

/** What `--print-policy` does: every rule that holds, in the form of a policy file. */
export const printPolicy = {
  help: 'print the rule of every operation, in the form of a policy file, and exit',
  /** @throws ConfigError for a policy file that a start would refuse */
  run(config: Pick<ControllerConfig, 'policy_file'>): Promise<string> {
    const rules = rulesOf(config);
    createPolicy(rules);
    const lines = Object.entries(rules).map(([name, rule]) => `${JSON.stringify(name)}: ${JSON.stringify(rule)}`);
    return Promise.resolve(lines.join('\n'));
  },
};
