/** Models as those of an ORM: their JSON leaves out what they hide. */
import { Client, SluiceError } from '@sluice/client';

class Person {
  constructor(id) {
    Object.assign(this, { id, name: `shown ${id}`, secret: `hidden ${id}` });
  }

  toJSON() {
    return { id: this.id, name: this.name };
  }
}

try {
  const people = Client.fromEnv().export('people.csv', { columns: COLUMNS });
  await people.write([1, 2, 3].map((id) => new Person(id)));
  await people.wait();
  await people.saveTo('people.csv');
} catch (error) {
  if (!(error instanceof SluiceError)) throw error;
  console.log(error.message);
}
