// How a process reaches the message broker.
import { Type, type Static } from '@sinclair/typebox';

const file = (description: string) => Type.Union([Type.String(), Type.Null()], { default: null, description });

export const BrokerConfig = Type.Object(
  {
    urls: Type.Array(Type.String({ pattern: '^amqps?://[^/@?#]+$' }), {
      default: ['amqp://127.0.0.1:5672'],
      minItems: 1,
      description: 'Nodes of the broker, amqp:// or amqps:// with TLS; the next is tried when one does not answer.',
    }),
    virtual_host: Type.String({ default: 'cumulet', description: 'The virtual host at the broker.' }),
    password_file: Type.String({
      default: '/etc/cumulet/tls/broker-password',
      description: 'File with the password, read at each connection.',
    }),
    tls: Type.Union(
      [
        Type.Object(
          {
            ca: Type.String({ description: "File with the certificates that sign the broker's." }),
            cert: file('File with the certificate to show to the broker.'),
            key: file('File with its key.'),
          },
          { additionalProperties: false },
        ),
        Type.Null(),
      ],
      { default: null, description: 'Files for amqps, PEM. Null: the certificates that the system trusts.' },
    ),
  },
  { default: {}, additionalProperties: false },
);
export type BrokerConfig = Static<typeof BrokerConfig>;
