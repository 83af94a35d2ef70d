// The two ways in which the compute API writes times.

/** Whole seconds with Z: created, updated, fault.created. */
export const isoSeconds = (milliseconds: number): string =>
  `${new Date(milliseconds).toISOString().slice(0, -'.000Z'.length)}Z`;

/** Microseconds without a zone: launched_at, instance actions, services, keypairs. */
export const isoMicroseconds = (milliseconds: number): string =>
  `${new Date(milliseconds).toISOString().slice(0, -1)}000`;

export const isoMicrosecondsOrNull = (milliseconds: number | null): string | null =>
  milliseconds === null ? null : isoMicroseconds(milliseconds);
