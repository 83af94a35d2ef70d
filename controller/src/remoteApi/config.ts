// The listener of the API for other machines: where, and with which certificate.
import { Type, type Static } from '@sinclair/typebox';

const file = (description: string) =>
  Type.Union([Type.String({ minLength: 1 }), Type.Null()], { default: null, description });

export const RemoteApiConfig = Type.Object(
  {
    address: Type.String({ minLength: 1, description: 'Address or host name of this machine to listen on, with TLS.' }),
    port: Type.Integer({ default: 5000, minimum: 0, maximum: 65535, description: 'Its TCP port.' }),
    cert: file(
      "PEM file with the certificate and those between it and its authority; null: one of the cloud's own CA.",
    ),
    key: file('PEM file with its key.'),
  },
  { additionalProperties: false },
);
export type RemoteApiConfig = Static<typeof RemoteApiConfig>;
