// Reads a mail's HTML from standard input; prints as JSON what Gmail, Outlook and Apple Mail don't support of it:
// {"feature": ["client", …]}. Features that a client supports in part (warnings) are left out.
import { readFileSync } from 'node:fs';
import { caniemail } from 'caniemail';

const clients = ['gmail.*', 'outlook.*', 'apple-mail.*'];
const found = {};
for (const [client, issues] of caniemail({ clients, html: readFileSync(0, 'utf8') }).issues.errors) {
  for (const { title } of issues) (found[title] ??= new Set()).add(client);
}
console.log(JSON.stringify(Object.fromEntries(Object.entries(found).map(([k, v]) => [k, [...v].sort()]))));
