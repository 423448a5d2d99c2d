// A user of the published TypeScript SDK: trades, reads and watches, and tells of each step.
//
//   node user.mjs URL KEY MAKER_KEY COIN
//
// Each line on standard output is a JSON object: the step, the calls it made as the SDK names them,
// and the error that ended it, if one did. Steps do not depend on one another's success.

import assert from "node:assert/strict";
import { ExchangeClient, HttpTransport, InfoClient, SubscriptionClient, WebSocketTransport } from "@nktkas/hyperliquid";
import { SymbolConverter } from "@nktkas/hyperliquid/utils";
import { Wallet } from "ethers";

const [url, key, makerKey, coin] = process.argv.slice(2);
const FRAME_MS = 15_000;

const http = new HttpTransport({ apiUrl: url, isTestnet: true });
const ws = new WebSocketTransport({ url: `${url.replace("http", "ws")}/ws`, isTestnet: true });
const wallet = new Wallet(key);
const user = wallet.address; // with the letter case of a checksum
const calls = [];

// Notes the calls of one of the SDK's clients.
function noted(client) {
  return new Proxy(client, {
    get(target, name) {
      const found = target[name];
      if (typeof found !== "function") return found;
      return (...args) => {
        calls.push(`${client.constructor.name}.${name}`);
        return found.apply(target, args);
      };
    },
  });
}

const info = noted(new InfoClient({ transport: http }));
const exchange = noted(new ExchangeClient({ transport: http, wallet }));
const maker = new ExchangeClient({ transport: http, wallet: new Wallet(makerKey) });
const streams = noted(new SubscriptionClient({ transport: ws }));
const overSocket = noted(new ExchangeClient({ transport: ws, wallet }));

const symbols = await SymbolConverter.create({ transport: http });
const a = symbols.getAssetId(coin);
const order = (b, p, s, t = { limit: { tif: "Gtc" } }, more = {}) => ({ a, b, p, s, r: false, t, ...more });
const one = (...orders) => ({ orders, grouping: "na" });
const statuses = (answer) => answer.response.data.statuses;
const restingOid = (answer) => statuses(answer)[0].resting.oid;
const cloid = (n) => `0x${n.toString(16).padStart(32, "0")}`;

// Returns a listener and a function that waits for a frame.
function mailbox() {
  const frames = [];
  let wake = () => {};
  const until = async (holds = () => true) => {
    const deadline = Date.now() + FRAME_MS;
    for (;;) {
      const at = frames.findIndex(holds);
      if (at >= 0) return frames[at];
      assert.ok(Date.now() < deadline, `no such frame among ${JSON.stringify(frames).slice(0, 500)}`);
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, 100);
      });
    }
  };
  return { listener: (frame) => (frames.push(frame), wake()), until };
}

async function trade(s = "0.1") {
  await maker.order(one(order(false, "2010", s)));
  return exchange.order(one(order(true, "2010", s, { limit: { tif: "Ioc" } })));
}

const steps = {
  async "reads of the markets"() {
    assert.equal((await info.meta()).universe[a].name, coin);
    assert.equal((await info.metaAndAssetCtxs())[1].length, (await info.meta()).universe.length);
    assert.ok((await info.spotMeta()).tokens.length >= 1);
    assert.equal((await info.spotMetaAndAssetCtxs()).length, 2);
    assert.equal((await info.allPerpMetas()).length, 1);
    assert.deepEqual(await info.perpDexs(), [null]);
    assert.deepEqual((await info.outcomeMeta()).outcomes, []);
    assert.ok((await info.exchangeStatus()).time > 0);
    assert.ok(coin in (await info.allMids()));
    assert.equal((await info.l2Book({ coin })).coin, coin);
    assert.ok(Array.isArray(await info.recentTrades({ coin })));
    assert.ok(Array.isArray(await info.candleSnapshot({ coin, interval: "1m", startTime: 1 })));
    assert.ok(Array.isArray(await info.fundingHistory({ coin, startTime: 1 })));
  },
  async "reads of an account"() {
    assert.equal((await info.activeAssetData({ user, coin })).user, user.toLowerCase());
    assert.ok((await info.clearinghouseState({ user })).withdrawable);
    assert.ok(Array.isArray((await info.spotClearinghouseState({ user })).balances));
    assert.ok(Array.isArray(await info.openOrders({ user })));
    assert.ok(Array.isArray(await info.frontendOpenOrders({ user })));
    assert.equal((await info.orderStatus({ user, oid: 2 ** 50 })).status, "unknownOid");
    assert.ok(Array.isArray(await info.historicalOrders({ user })));
    assert.ok(Array.isArray(await info.userFills({ user })));
    assert.ok(Array.isArray(await info.userFillsByTime({ user, startTime: 1 })));
    assert.ok(Array.isArray(await info.userFunding({ user, startTime: 1 })));
    assert.ok((await info.userNonFundingLedgerUpdates({ user, startTime: 1 })).length >= 1);
    assert.ok((await info.userFees({ user })).userCrossRate);
    assert.ok((await info.userRateLimit({ user })).nRequestsCap > 0);
    assert.equal((await info.userRole({ user })).role, "user");
    assert.equal(await info.userAbstraction({ user }), "default");
    assert.ok(Array.isArray(await info.extraAgents({ user })));
    assert.equal(await info.subAccounts({ user }), null);
    assert.equal((await info.portfolio({ user })).length, 8);
  },
  async "further reads"() {
    assert.equal((await info.marginTable({ id: 25 })).marginTiers[0].maxLeverage, 25);
    assert.ok((await info.predictedFundings()).length >= 1);
    assert.ok((await info.maxMarketOrderNtls()).length >= 1);
    assert.deepEqual(await info.perpsAtOpenInterestCap(), []);
    assert.deepEqual(await info.twapHistory({ user }), []);
    assert.deepEqual(await info.userTwapSliceFills({ user }), []);
    assert.ok((await info.referral({ user })).referrerState);
    assert.equal((await info.preTransferCheck({ user, source: user })).userExists, true);
    assert.equal((await info.legalCheck({ user })).userAllowed, true);
    assert.ok((await info.perpDexStatus({ dex: "" })).totalNetDeposit);
    assert.equal((await info.tokenDetails({ tokenId: (await info.spotMeta()).tokens[0].tokenId })).name, "USDC");
  },
  async "further streams"() {
    const waiting = {
      spotState: mailbox(), userHistoricalOrders: mailbox(), userTwapHistory: mailbox(),
      userTwapSliceFills: mailbox(), twapStates: mailbox(), webData3: mailbox(),
      allDexsClearinghouseState: mailbox(),
    };
    for (const [name, { listener }] of Object.entries(waiting)) await streams[name]({ user }, listener);
    for (const { until } of Object.values(waiting)) await until();
    const ofMarkets = { assetCtxs: mailbox(), spotAssetCtxs: mailbox(), allDexsAssetCtxs: mailbox() };
    await streams.assetCtxs(ofMarkets.assetCtxs.listener);
    await streams.spotAssetCtxs(ofMarkets.spotAssetCtxs.listener);
    await streams.allDexsAssetCtxs(ofMarkets.allDexsAssetCtxs.listener);
    for (const { until } of Object.values(ofMarkets)) await until();
  },
  async "orders"() {
    const oid = restingOid(await exchange.order(one(order(true, "1990", "0.1"))));
    assert.equal((await info.orderStatus({ user, oid })).order.status, "open");
    await exchange.modify({ oid, order: order(true, "1980", "0.1") });
    const [left] = await info.openOrders({ user });
    assert.equal(left.limitPx, "1980.0");
    await exchange.batchModify({ modifies: [{ oid: left.oid, order: order(true, "1970", "0.1") }] });
    const [last] = await info.openOrders({ user });
    await exchange.cancel({ cancels: [{ a, o: last.oid }] });
    await exchange.order(one(order(true, "1990", "0.1", undefined, { c: cloid(1) })));
    await exchange.cancelByCloid({ cancels: [{ asset: a, cloid: cloid(1) }] });
    assert.deepEqual(await info.openOrders({ user }), []);
  },
  async "a trade"() {
    const { filled } = statuses(await trade())[0];
    assert.equal(filled.avgPx, "2010.0");
    const [fill] = await info.userFills({ user });
    assert.equal(fill.oid, filled.oid);
  },
  async "refusals are thrown"() {
    await assert.rejects(exchange.order(one(order(true, "1990", "0.001"))), /minimum value of \$10/);
    await assert.rejects(exchange.cancel({ cancels: [{ a, o: 2 ** 50 }] }), /never placed/);
    await assert.rejects(exchange.updateLeverage({ asset: a, isCross: true, leverage: 50 }), /leverage/);
  },
  async "leverage, transfers and approvals"() {
    const other = Wallet.createRandom().address;
    await exchange.updateLeverage({ asset: a, isCross: true, leverage: 5 });
    await exchange.usdSend({ destination: other, amount: "5" });
    await exchange.approveAgent({ agentAddress: Wallet.createRandom().address, agentName: null });
    await exchange.approveBuilderFee({ builder: other, maxFeeRate: "0.01%" });
    await exchange.setReferrer({ code: "TEST" });
    await exchange.noop({ nonce: Date.now() });
  },
  async "streams of the markets"() {
    const waiting = {
      l2Book: mailbox(), bbo: mailbox(), trades: mailbox(), candle: mailbox(),
      activeAssetCtx: mailbox(), allMids: mailbox(),
    };
    const subscriptions = [
      await streams.l2Book({ coin }, waiting.l2Book.listener),
      await streams.bbo({ coin }, waiting.bbo.listener),
      await streams.trades({ coin }, waiting.trades.listener),
      await streams.candle({ coin, interval: "1m" }, waiting.candle.listener),
      await streams.activeAssetCtx({ coin }, waiting.activeAssetCtx.listener),
      await streams.allMids(waiting.allMids.listener),
    ];
    await trade("0.2");
    await waiting.l2Book.until((book) => book.coin === coin);
    await waiting.bbo.until((frame) => frame.coin === coin);
    await waiting.trades.until((seen) => seen.some((entry) => entry.sz === "0.2"));
    await waiting.candle.until((candle) => candle.n >= 1);
    await waiting.activeAssetCtx.until((frame) => frame.ctx.markPx);
    await waiting.allMids.until((frame) => coin in frame.mids);
    for (const subscription of subscriptions) await subscription.unsubscribe();
  },
  async "streams of an account, asked for in mixed case"() {
    const waiting = {
      orderUpdates: mailbox(), userEvents: mailbox(), userFills: mailbox(), userFundings: mailbox(),
      userNonFundingLedgerUpdates: mailbox(), openOrders: mailbox(), clearinghouseState: mailbox(),
      activeAssetData: mailbox(),
    };
    const subscriptions = [];
    for (const [name, { listener }] of Object.entries(waiting)) {
      const about = name === "activeAssetData" ? { user, coin } : { user };
      subscriptions.push(await streams[name](about, listener));
    }
    const { oid } = statuses(await trade("0.3"))[0].filled;
    await waiting.orderUpdates.until((steps) => steps.some((step) => step.order.oid === oid));
    await waiting.userEvents.until((event) => event.fills?.some((fill) => fill.oid === oid));
    await waiting.userFills.until((frame) => frame.isSnapshot);
    await waiting.userFills.until((frame) => !frame.isSnapshot && frame.fills.some((fill) => fill.oid === oid));
    await waiting.userFundings.until((frame) => frame.isSnapshot);
    await waiting.userNonFundingLedgerUpdates.until((frame) => frame.isSnapshot);
    await waiting.openOrders.until((frame) => Array.isArray(frame.orders));
    await waiting.clearinghouseState.until((frame) => frame.clearinghouseState);
    await waiting.activeAssetData.until((frame) => frame.coin === coin);
    for (const subscription of subscriptions) await subscription.unsubscribe();
  },
  async "trigger orders and groups"() {
    const { trigger, sell } = {
      trigger: (triggerPx, tpsl) => ({ trigger: { isMarket: true, triggerPx, tpsl } }),
      sell: (p, t) => ({ ...order(false, p, "0.1", t), r: true }),
    };
    const answer = await exchange.order({
      orders: [order(true, "1950", "0.1"), sell("2200", trigger("2200", "tp")), sell("1800", trigger("1900", "sl"))],
      grouping: "normalTpsl",
    });
    assert.deepEqual(statuses(answer).slice(1), ["waitingForFill", "waitingForFill"]);
    const parent = (await info.frontendOpenOrders({ user })).find((shown) => shown.children.length);
    assert.equal(parent.children.length, 2);
    await exchange.cancel({ cancels: [{ a, o: parent.oid }] });
    assert.deepEqual(await info.frontendOpenOrders({ user }), []);
  },
  async "scheduled cancellation"() {
    await exchange.scheduleCancel({ time: Date.now() + 60_000 });
    await exchange.scheduleCancel({});
  },
  async "isolated margin"() {
    const other = symbols.getAssetId("SPARE1");
    await exchange.updateLeverage({ asset: other, isCross: false, leverage: 5 });
    await maker.order(one({ ...order(false, "2000", "0.1"), a: other }));
    await exchange.order(one({ ...order(true, "2000", "0.1"), a: other }));
    await exchange.updateIsolatedMargin({ asset: other, isBuy: true, ntli: 10_000_000 });
    const { assetPositions } = await info.clearinghouseState({ user });
    assert.ok(assetPositions.some(({ position }) => position.leverage.type === "isolated"));
  },
  async "transfers"() {
    const destination = await new Wallet(makerKey).getAddress();
    const token = "USDC:0x6d1e7cde53ba9467b783cb7c530ce054";
    await exchange.usdClassTransfer({ amount: "20", toPerp: false });
    await exchange.spotSend({ destination, token, amount: "5" });
    await exchange.sendAsset({
      destination, sourceDex: "", destinationDex: "spot", token, amount: "5", fromSubAccount: "",
    });
    await exchange.withdraw3({ destination, amount: "5" });
    const { balances } = await info.spotClearinghouseState({ user });
    assert.equal(balances[0].total, "15.0");
  },
  async "sub-accounts"() {
    const answer = await exchange.createSubAccount({ name: "desk" });
    const subAccountUser = answer.response.data;
    await exchange.subAccountTransfer({ subAccountUser, isDeposit: true, usd: 5_000_000 });
    await exchange.subAccountModify({ subAccountUser, name: "other desk" });
    const [account] = await info.subAccounts({ user });
    assert.equal(account.name, "other desk");
    assert.equal(account.clearinghouseState.withdrawable, "5.0");
  },
  async "TWAP orders"() {
    const answer = await exchange.twapOrder({ twap: { a, b: true, s: "5", r: false, m: 5, t: false } });
    const { twapId } = answer.response.data.status.running;
    await exchange.twapCancel({ a, t: twapId });
    await assert.rejects(exchange.twapCancel({ a, t: twapId }), /TWAP was never placed/);
  },
  async "orders over the socket"() {
    const oid = restingOid(await overSocket.order(one(order(true, "1990", "0.1"))));
    await overSocket.cancel({ cancels: [{ a, o: oid }] });
    await assert.rejects(overSocket.cancel({ cancels: [{ a, o: oid }] }), /never placed/);
  },
};

for (const [step, run] of Object.entries(steps)) {
  calls.length = 0;
  let error = null;
  try {
    await run();
  } catch (raised) {
    error = `${raised.name}: ${raised.message}`;
  }
  console.log(JSON.stringify({ step, calls: [...new Set(calls)], error }));
}
await ws.close?.();
process.exit(0);
