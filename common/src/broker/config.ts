// How a process reaches the message broker.
import { Type, type Static } from '@sinclair/typebox';

const File = (description: string) => Type.Union([Type.String(), Type.Null()], { default: null, description });

export const BrokerConfig = Type.Object(
  {
    urls: Type.Array(Type.String({ pattern: '^amqps?://[^/@?#]+$' }), {
      default: ['amqp://127.0.0.1:5672'],
      minItems: 1,
      description: 'Nodes of the broker, amqp:// or amqps:// with TLS; the next is tried when one does not answer.',
    }),
    virtual_host: Type.String({ default: 'cumulet', description: 'The virtual host at the broker.' }),
    password_file: Type.String({ description: 'File with the password, read at each connection.' }),
    ca_file: File('Certificates that the broker must be signed by; those of the system unless set.'),
    certificate_file: File('Our own certificate, for a broker that asks for one.'),
    key_file: File('Its key.'),
  },
  { additionalProperties: false },
);
export type BrokerConfig = Static<typeof BrokerConfig>;
