// node test/dist/bench/against.js PROGRAM [ARGUMENT...]: runs another benchmark of the OpenStack API against a cloud made for it.
// The program finds the cloud by OS_* variables, and in it the image "tiny", the flavor "m1.nano" and the network "bench".
import { spawn } from 'node:child_process';
import { messageOf } from '@cumulet/common';
import { makeContent, PASSWORD, startRealCloud } from '../support/realCloud';
import { tinyImage } from '../support/tinyImage';

async function main([program, ...args]: readonly string[]): Promise<number> {
  if (program === undefined) throw new Error('which program?');
  const cloud = await startRealCloud();
  try {
    await makeContent(cloud, tinyImage());
    const env = {
      ...process.env,
      OS_AUTH_URL: cloud.url,
      OS_USERNAME: 'admin',
      OS_PASSWORD: PASSWORD,
      OS_PROJECT_NAME: 'admin',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
    };
    const child = spawn(program, args, { env, stdio: 'inherit' });
    return await new Promise<number>((done, fail) => {
      child.once('error', fail);
      child.once('exit', (code) => done(code ?? 1));
    });
  } finally {
    await cloud.stop();
  }
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(messageOf(error).slice(0, 2000));
    process.exit(1);
  },
);
