// What a configuration says of the broker, judged before the broker is asked.
import { ConfigError, type BrokerConfig } from '@cumulet/common';
import { checkBroker } from '../../common/src/broker/check';

const here = __filename;
const config = (more: Partial<BrokerConfig>): BrokerConfig => ({
  urls: ['amqps://b1:5671', 'amqps://b2:5671'],
  virtual_host: 'cumulet',
  password_file: here,
  tls: { ca: here, cert: here, key: here },
  ...more,
});

test.each<[string, Partial<BrokerConfig>]>([
  ['with all files', {}],
  ['with the certificates of the system', { tls: null }],
  ['without a certificate of its own', { tls: { ca: here, cert: null, key: null } }],
])('what can work is taken: %s', (_what, more) => {
  expect(() => checkBroker(config(more))).not.toThrow();
});

test.each<[string, Partial<BrokerConfig>]>([
  ['broker.urls: some are amqp:// and some amqps://', { urls: ['amqp://b1:5672', 'amqps://b2:5671'] }],
  ['broker.urls: a node is there twice', { urls: ['amqp://b1:5672', 'amqp://b1:5672'] }],
  ['broker.password_file: can not be read', { password_file: '/nowhere/password' }],
  ['broker.tls: cert and key go together', { tls: { ca: here, cert: here, key: null } }],
  ['broker.tls.key: can not be read', { tls: { ca: here, cert: here, key: '/nowhere/key' } }],
])('%s', (words, more) => {
  expect(() => checkBroker(config(more))).toThrow(ConfigError);
  expect(() => checkBroker(config(more))).toThrow(words);
});
