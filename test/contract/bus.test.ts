// The bus within one process keeps the contract of the bus; the one over RabbitMQ does so in test/lab/broker.test.ts.
import { createMemoryBus } from '@cumulet/common';
import { busContract } from '../support/busContract';

const bus = createMemoryBus();
busContract({ controller: () => bus, agent: () => bus });
