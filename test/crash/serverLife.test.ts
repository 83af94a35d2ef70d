// Every fault at every step of what makes servers and removes them; and that no kind of task is left out of these files.
import { taskKinds } from '@cumulet/controller';
import { crossWithFaults } from './everyFault';
import { scenarios } from './faultScenarios';
import { LIFE, MOVES, PARTS, POWER, RESIZES, SHELVES } from './kinds';

crossWithFaults(LIFE);

test('every kind of task has a scenario and is in one of the files', () => {
  const names = taskKinds.map(({ kind }) => kind).sort();
  expect(Object.keys(scenarios).sort()).toEqual(names);
  expect([...LIFE, ...POWER, ...PARTS, ...RESIZES, ...MOVES, ...SHELVES].map(({ kind }) => kind).sort()).toEqual(names);
});
