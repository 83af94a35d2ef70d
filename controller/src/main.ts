// The process cumulet-controller, and the administrator's commands that make certificates and broker users.
import { runProcess } from '@cumulet/common';
import { adminUsage, isAdminCommand, runAdminCommand } from './admin/commands';
import { checkController } from './checkConfig';
import { copyToMariadb } from './copyDatabase';
import { printPolicy } from './policyRules';
import { ControllerProcessConfig, startController } from './process';

const args = process.argv.slice(2);

if (isAdminCommand(args)) {
  void runAdminCommand(args).then((code) => process.exit(code));
} else {
  void runProcess({
    name: 'cumulet-controller',
    schema: ControllerProcessConfig,
    prepare: (config) => config,
    check: checkController,
    health: (config) => config.health,
    start: startController,
    actions: { 'print-policy': printPolicy, 'copy-database': copyToMariadb },
    more: adminUsage,
  });
}
