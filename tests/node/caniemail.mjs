// Reads the HTML of some mails, a JSON array of texts, from standard input; prints as JSON what Gmail, Outlook and Apple
// Mail don't support of each: [{"feature": ["client", …]}, …]. Features that a client supports in part (warnings) are
// left out.
import { readFileSync } from 'node:fs';
import { caniemail } from 'caniemail';

const clients = ['gmail.*', 'outlook.*', 'apple-mail.*'];
const unsupported = (html) => {
  const found = {};
  for (const [client, issues] of caniemail({ clients, html }).issues.errors) {
    for (const { title } of issues) (found[title] ??= new Set()).add(client);
  }
  return Object.fromEntries(Object.entries(found).map(([k, v]) => [k, [...v].sort()]));
};
console.log(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(unsupported)));
