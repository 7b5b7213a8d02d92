/*
 * Wallets: discovery (EIP-6963), the sign-in message (EIP-4361), signatures
 * (EIP-191 personal_sign, EIP-712 eth_signTypedData_v4).
 */

import { checksumAddress } from "./keccak.js";

/* calls onWallet({ info, provider }) once for each wallet that announces itself */
export function discoverWallets(onWallet) {
  const seen = new Set();
  window.addEventListener("eip6963:announceProvider", ({ detail }) => {
    if (seen.has(detail.info.uuid)) return;
    seen.add(detail.info.uuid);
    onWallet(detail);
  });
  window.dispatchEvent(new Event("eip6963:requestProvider"));
}

export async function connect(provider) {
  const [account] = await provider.request({ method: "eth_requestAccounts" });
  return checksumAddress(account);
}

/* the wallet's chain when the gateway accepts it, else the gateway's first */
export async function chooseChain(provider, accepted) {
  const current = Number(await provider.request({ method: "eth_chainId" }));
  return accepted.includes(current) ? current : accepted[0];
}

export function signInMessage({ domain, uri, nonce, statement, issued_at, expires_at }, address, chainId) {
  return [
    `${domain} wants you to sign in with your Ethereum account:`,
    address,
    "",
    ...(statement ? [statement, ""] : [""]),
    `URI: ${uri}`,
    "Version: 1",
    `Chain ID: ${chainId}`,
    `Nonce: ${nonce}`,
    `Issued At: ${issued_at}`,
    `Expiration Time: ${expires_at}`,
  ].join("\n");
}

export function signMessage(provider, address, message) {
  const bytes = new TextEncoder().encode(message);
  const hex = "0x" + [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
  return provider.request({ method: "personal_sign", params: [hex, address] });
}

export function signTypedData(provider, address, typedData) {
  return provider.request({ method: "eth_signTypedData_v4", params: [address, JSON.stringify(typedData)] });
}
