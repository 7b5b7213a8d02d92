// Compiles Characters.sol.
//
//   node compile.mjs            writes Characters.json
//   node compile.mjs --check    compares with the committed one
//
// The artefact is committed so that the quickstart needs the chain node only;
// t/mint/artifact.t runs --check.

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const here = path.dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const solc = require('solc');

const input = {
  language: 'Solidity',
  sources: {
    'Characters.sol': {
      content: readFileSync(path.join(here, 'Characters.sol'), 'utf8'),
    },
  },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: 'cancun',
    metadata: { bytecodeHash: 'none' },
    outputSelection: {
      '*': { Characters: ['abi', 'evm.bytecode.object'] },
    },
  },
};

const findImport = (name) => {
  try {
    return { contents: readFileSync(require.resolve(name), 'utf8') };
  } catch {
    return { error: `not found: ${name}` };
  }
};

const output = JSON.parse(
  solc.compile(JSON.stringify(input), { import: findImport }));
const errors = (output.errors ?? []).filter((e) => e.severity === 'error');

if (errors.length) {
  console.error(errors.map((e) => e.formattedMessage).join('\n'));
  process.exit(1);
}

const contract = output.contracts['Characters.sol'].Characters;
const artifact = JSON.stringify({
  contract: 'Characters',
  compiler: solc.version(),
  settings: { ...input.settings, outputSelection: undefined },
  abi: contract.abi,
  bytecode: '0x' + contract.evm.bytecode.object,
}, null, 2) + '\n';

const file = path.join(here, 'Characters.json');

if (process.argv[2] === '--check') {
  if (readFileSync(file, 'utf8') !== artifact) {
    console.error('Characters.json is not what Characters.sol compiles to');
    process.exit(1);
  }

  console.log('Characters.json is up to date');

} else {
  writeFileSync(file, artifact);
  console.log(`${file}: ${(artifact.length / 1024).toFixed(0)} KiB`);
}
