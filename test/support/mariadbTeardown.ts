// After the tests of the project `mariadb`.
export default async function teardown(): Promise<void> {
  await globalThis.testMariadb?.stop();
}
