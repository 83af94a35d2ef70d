// In each test file of the project `mariadb`: databases are made on its server.
const url = process.env['CUMULET_TEST_MARIADB'];
if (url !== undefined) process.env['CUMULET_TEST_DATABASE'] = url;
