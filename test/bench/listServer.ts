// The child process of the list benchmark.
import { serveLists } from './lists';

void serveLists();
