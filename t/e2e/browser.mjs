// The page in headless Chromium with an injected wallet (EIP-6963): connect,
// sign, chat, reload, recall, forget, mint.  Prints TAP, takes screenshots.
//
//   node browser.mjs BASE_URL SCREENSHOT_DIR [mint]

import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";
import { Wallet, getBytes } from "ethers";

const [base, shots, mint] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });

let count = 0;
function ok(condition, name, detail) {
  count++;
  console.log(`${condition ? "ok" : "not ok"} ${count} - ${name}`);
  if (!condition && detail !== undefined) console.log(`# ${JSON.stringify(detail)}`);
}

const wallet = Wallet.createRandom();

async function walletRequest(method, params) {
  switch (method) {
    case "eth_requestAccounts":
    case "eth_accounts":
      return [wallet.address.toLowerCase()];
    case "eth_chainId":
      return "0x7a69";
    case "personal_sign":
      return wallet.signMessage(getBytes(params[0]));
    case "eth_signTypedData_v4": {
      const { domain, types, message } = JSON.parse(params[1]);
      delete types.EIP712Domain;
      return wallet.signTypedData(domain, types, message);
    }
    default:
      throw new Error(`4200: ${method}`);
  }
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
await context.exposeFunction("__wallet", walletRequest);
await context.addInitScript(() => {
  const provider = {
    request: ({ method, params }) => window.__wallet(method, params ?? []),
    on() {},
    removeListener() {},
  };
  const detail = Object.freeze({
    info: {
      uuid: "4a4a9f9e-5c2e-4a38-9f0e-2f7f3f0c7d11",
      name: "Test Wallet",
      rdns: "example.test",
      icon: "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='teal'/></svg>",
    },
    provider,
  });
  const announce = () => window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  window.addEventListener("eip6963:requestProvider", announce);
  announce();
});

const page = await context.newPage();
const problems = [];
page.on("pageerror", (error) => problems.push(error.message));
page.on("console", (message) => { if (message.type() === "error") problems.push(message.text()); });

const shot = (name) => page.screenshot({ path: `${shots}/${name}.png` });
const replies = page.locator("#log li.assistant:not(.busy)");

async function say(text) {
  const before = await page.locator("#log li.user").count();
  await page.fill("#prompt", text);
  await page.press("#prompt", "Enter");
  await page.locator("#log li.user").nth(before).waitFor();
  await page.locator("#send:not([hidden])").waitFor();
  return replies.last().innerText();
}

try {
  await page.goto(base);
  await page.getByRole("button", { name: "Test Wallet" }).waitFor();
  ok(true, "an EIP-6963 wallet is listed");
  await shot("1-welcome");

  await page.getByRole("button", { name: "Test Wallet" }).click();
  await page.getByRole("button", { name: /Mira/ }).waitFor();
  ok(await page.locator("#account").getAttribute("title") === wallet.address, "signed in as the wallet");

  await page.getByRole("button", { name: /Mira/ }).click();
  await page.locator("#send:not([disabled])").waitFor();
  const first = await say("Hello! My dog is called Rex.");
  ok(first.length > 0, "a reply streams in", first);
  await shot("2-chat");

  await page.reload();
  await page.getByRole("button", { name: /Mira/ }).waitFor();
  ok(await page.locator("#studio").isVisible(), "the session survives a reload");
  await page.getByRole("button", { name: /Mira/ }).click();
  await page.locator("#log li.user").first().waitFor();
  ok(/Rex/.test(await page.locator("#log li.user").first().innerText()), "the chat is still there");

  await page.click("#new-chat");
  const recalled = await say("What is my dog called?");
  ok(/Rex/.test(recalled), "a new chat recalls Rex", recalled);
  ok(/recalled/.test(await page.locator("#recalled").innerText()), "and the page says what was recalled");
  await shot("3-recall");

  await page.fill("#prompt", "Tell me everything about lighthouses, please, at length.");
  await page.press("#prompt", "Enter");
  await page.locator("#stop:not([hidden])").waitFor();
  await page.click("#stop");
  await page.locator("#send:not([hidden])").waitFor();
  ok(true, "a reply can be stopped");

  if (mint) {
    await page.click("#mint-button");
    await page.locator("#mint-steps li[data-step=confirmed].done").waitFor({ timeout: 60000 });
    ok(/token/i.test(await page.locator("#mint-result").innerText()), "a mint is followed to its token",
      await page.locator("#mint-result").innerText());
    await shot("4-mint");
  }

  await page.setViewportSize({ width: 390, height: 844 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  ok(!wide, "no sideways scrolling on a phone");
  await shot("5-phone");

  await page.setViewportSize({ width: 1280, height: 800 });
  await page.click("#sign-out");
  await page.getByRole("button", { name: "Test Wallet" }).waitFor();
  await page.reload();
  await page.locator("#welcome").waitFor();
  ok(await page.locator("#studio").isHidden(), "signed out for good");

  const visitor = await (await browser.newContext()).newPage();
  visitor.on("pageerror", (error) => problems.push(error.message));
  await visitor.goto(`${base}/chat/a-place-of-the-page`);
  await visitor.getByRole("button", { name: "Look around as a guest" }).click();
  await visitor.getByRole("button", { name: /Mira/ }).click();
  await visitor.fill("#prompt", "Hello from a visitor without a wallet.");
  await visitor.press("#prompt", "Enter");
  await visitor.locator("#log li.assistant:not(.busy)").last().waitFor();
  await visitor.locator("#send:not([hidden])").waitFor();
  ok(await visitor.locator("#account").innerText() === "Guest", "a deep link, without a wallet: a guest chats");
  ok(await visitor.locator("#log li.error").count() === 0, "and is answered");
  await visitor.screenshot({ path: `${shots}/6-guest.png` });

  const unexpected = problems.filter((text) => !/401|ERR_ABORTED/.test(text));
  ok(unexpected.length === 0, "no error in the console", unexpected);
} catch (error) {
  ok(false, "the tour was finished", error.message);
  await shot("failure").catch(() => {});
} finally {
  await browser.close();
}
console.log(`1..${count}`);
