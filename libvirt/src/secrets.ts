// Secrets for disks (LUKS passphrases, CHAP), network filters and networks: small neighbours with daemons of their own.
import { orAbsent } from './errors';
import { procedures } from './procedures';
import type { Session } from './session';
import type { NetworkReference, SecretReference } from './types';

/** virSecretUsageType */
const usageTypes = { none: 0, volume: 1, ceph: 2, iscsi: 3, tls: 4, vtpm: 5 } as const;
export type SecretUsage = keyof typeof usageTypes;

export function secretOperations(session: Session) {
  return {
    async secrets(): Promise<SecretReference[]> {
      const args = { needResults: 1, flags: 0 };
      return (await session.call(procedures.connectListAllSecrets, args, { service: 'secret' })).secrets;
    },

    /** Defines a secret, or redefines the one with the same uuid; its value is set apart. */
    async defineSecret(xml: string): Promise<SecretReference> {
      return (await session.call(procedures.secretDefineXml, { xml, flags: 0 }, { service: 'secret' })).secret;
    },

    async setSecretValue(secret: SecretReference, value: Buffer): Promise<void> {
      await session.call(procedures.secretSetValue, { secret, value, flags: 0 }, { service: 'secret' });
    },

    /** The secret, or undefined. */
    async lookupSecret(uuid: string): Promise<SecretReference | undefined> {
      return (await orAbsent(session.call(procedures.secretLookupByUuid, { uuid }, { service: 'secret' })))?.secret;
    },

    /** The secret of, for example, the iSCSI target with this usage id; undefined when there is none. */
    async lookupSecretByUsage(usage: SecretUsage, usageID: string): Promise<SecretReference | undefined> {
      const args = { usageType: usageTypes[usage], usageID };
      return (await orAbsent(session.call(procedures.secretLookupByUsage, args, { service: 'secret' })))?.secret;
    },

    /** Removes a secret and its value; one that is gone is fine. */
    async undefineSecret(secret: SecretReference): Promise<void> {
      await orAbsent(session.call(procedures.secretUndefine, { secret }, { service: 'secret' }));
    },

    /** Defines a network filter, or redefines the one with the same name. */
    async defineFilter(xml: string): Promise<NetworkReference> {
      return (await session.call(procedures.nwfilterDefineXml, { xml }, { service: 'nwfilter' })).nwfilter;
    },

    /** The network filter, or undefined. */
    async lookupFilter(name: string): Promise<NetworkReference | undefined> {
      return (await orAbsent(session.call(procedures.nwfilterLookupByName, { name }, { service: 'nwfilter' })))
        ?.nwfilter;
    },

    /** Removes a network filter; one that is gone is fine. */
    async undefineFilter(nwfilter: NetworkReference): Promise<void> {
      await orAbsent(session.call(procedures.nwfilterUndefine, { nwfilter }, { service: 'nwfilter' }));
    },

    /** libvirt's own virtual networks. */
    async networks(flags = 0): Promise<NetworkReference[]> {
      const args = { needResults: 1, flags };
      return (await session.call(procedures.connectListAllNetworks, args, { service: 'network' })).nets;
    },

    /** The virtual network, or undefined. */
    async lookupNetwork(name: string): Promise<NetworkReference | undefined> {
      return (await orAbsent(session.call(procedures.networkLookupByName, { name }, { service: 'network' })))?.net;
    },
  };
}
