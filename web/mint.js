/*
 * One mint from the signature to its token: signs the gateway's typed data
 * (EIP-712), hands it to the relay, follows it, and finds it again after a
 * reload.
 */

import { signTypedData } from "./wallet.js";

const STEPS = ["signed", "accepted", "sent", "confirmed"];

/* how far a state of the relay is along the steps */
const REACHED = {
  ready: "accepted", assigned: "accepted", signed: "accepted", reconcile: "sent",
  sent: "sent", mined: "sent", confirmed: "confirmed",
};

const HOUR = 3600;
const FIRST_LOOK_MS = 500;
const LAST_LOOK_MS = 5000;

export class Minting {
  #gateway;
  #walletOf;
  #complain;
  #character = null;
  #button = document.getElementById("mint-button");
  #steps = document.getElementById("mint-steps");
  #result = document.getElementById("mint-result");
  #following = null;

  constructor({ gateway, walletOf, complain }) {
    this.#gateway = gateway;
    this.#walletOf = walletOf;
    this.#complain = complain;
    this.#button.addEventListener("click", () => this.#mint());
  }

  set character(character) {
    this.#character = character;
    this.#enable();
  }

  /* shows the panel where a chain is configured, and a mint that is under way */
  async resume() {
    const mints = await this.#gateway.get("/api/v1/mints?limit=1").catch((error) => {
      if (error.status === 404) return null;        // no chain here
      throw error;
    });
    document.getElementById("mint").hidden = !mints;
    if (mints?.data[0] && !mints.data[0].final) this.#follow(mints.data[0]);
  }

  async #mint() {
    this.#button.disabled = true;
    this.#show(null);
    try {
      const { session, provider } = await this.#walletOf();
      const { domain, types, primaryType } = await this.#gateway.get("/api/v1/mints/domain");
      const message = {
        to: session.wallet,
        uri: this.#character.token_uri,
        deadline: Math.floor(Date.now() / 1000) + HOUR,
        salt: hex(crypto.getRandomValues(new Uint8Array(32))),
      };
      const signature = await signTypedData(provider, session.wallet, {
        domain,
        types: { EIP712Domain: fieldsOf(domain), ...types },
        primaryType,
        message,
      });
      this.#show("signed");
      this.#follow(await this.#gateway.post("/api/v1/mints",
        { chain_id: domain.chainId, contract: domain.verifyingContract, ...message, signature },
        { "Idempotency-Key": crypto.randomUUID() }));
    } catch (error) {
      this.#complain(error);
      this.#steps.hidden = true;
      this.#enable();
    }
  }

  async #follow(mint) {
    this.#following = mint.id;
    this.#button.disabled = true;
    for (let pause = FIRST_LOOK_MS; !mint.final; pause = Math.min(pause * 1.5, LAST_LOOK_MS)) {
      this.#show(REACHED[mint.state]);
      await new Promise((resolve) => setTimeout(resolve, pause));
      mint = await this.#gateway.get(`/api/v1/mints/${mint.id}`).catch((error) => {
        if (error.status === 401) return { ...mint, final: true, reason: "You were signed out." };
        return mint;                                 // the network comes back
      });
    }
    this.#following = null;
    this.#enable();
    this.#show(REACHED[mint.state], mint.state !== "confirmed");
    this.#result.textContent = mint.state === "confirmed"
      ? `Token ${mint.token_id} is yours.`
      : `The mint ended: ${mint.reason ?? mint.state}`;
  }

  /* a character without metadata has nothing that a token could name */
  #enable() {
    this.#button.disabled = Boolean(this.#following) || !this.#character?.token_uri;
  }

  #show(reached, failed = false) {
    this.#steps.hidden = false;
    this.#result.textContent = "";
    const last = STEPS.indexOf(reached);
    for (const step of this.#steps.children) {
      const place = STEPS.indexOf(step.dataset.step);
      step.classList.toggle("done", place <= last);
      step.classList.toggle("failed", failed && place === last + 1);
    }
  }
}

const DOMAIN_FIELDS = [
  { name: "name", type: "string" },
  { name: "version", type: "string" },
  { name: "chainId", type: "uint256" },
  { name: "verifyingContract", type: "address" },
];

function fieldsOf(domain) {
  return DOMAIN_FIELDS.filter(({ name }) => domain[name] !== undefined);
}

function hex(bytes) {
  return "0x" + [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
