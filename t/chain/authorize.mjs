// Signs mint authorizations as a wallet does (ethers).
//
//   node authorize.mjs KEY CHAIN_ID CONTRACT COUNT [DEADLINE [TAG]]
//
// Prints a JSON array of bodies for POST /api/v1/mints.  Salts are derived
// from TAG, so that the same call prints the same.

import { Wallet, id } from 'ethers';

const [key, chainId, contract, count, deadline, tag] = process.argv.slice(2);

const wallet = new Wallet(key);
const domain = {
  name: 'Sallyport Characters',
  version: '1',
  chainId: Number(chainId),
  verifyingContract: contract,
};
const types = {
  MintAuthorization: [
    { name: 'to', type: 'address' },
    { name: 'uri', type: 'string' },
    { name: 'deadline', type: 'uint256' },
    { name: 'salt', type: 'bytes32' },
  ],
};

const out = [];

for (let i = 0; i < Number(count); i++) {
  const message = {
    to: wallet.address,
    uri: `ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi`
         + `/${i}.json`,
    deadline: Number(deadline ?? 4102444800),
    salt: id(`${tag ?? 'salt'} ${i}`),
  };

  out.push({
    chain_id: domain.chainId,
    contract,
    ...message,
    signature: await wallet.signTypedData(domain, types, message),
  });
}

console.log(JSON.stringify(out, null, 2));
