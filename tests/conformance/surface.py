"""The public surface that Hyperliquid's clients know, in tiers, and how each part of it is asked.

Tier 1 is what the core flows of the clients need, tier 2 what their other ordinary calls touch.
Types of neither tier are about things that this exchange is not: vaults, staking, deployment,
a virtual machine beside it.
"""

from typing import Any, Final

from attrs import frozen

OUT_OF_SCOPE: Final = 3


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


QUESTIONS: Final[dict[int, tuple[str, ...]]] = {
    1: _words(
        """meta spotMeta metaAndAssetCtxs spotMetaAndAssetCtxs allPerpMetas perpDexs outcomeMeta
        exchangeStatus allMids l2Book candleSnapshot recentTrades fundingHistory clearinghouseState
        spotClearinghouseState activeAssetData openOrders frontendOpenOrders orderStatus
        historicalOrders userFills userFillsByTime userFunding userNonFundingLedgerUpdates userFees
        userRateLimit userRole userAbstraction extraAgents subAccounts portfolio"""
    ),
    2: _words(
        """marginTable predictedFundings perpsAtOpenInterestCap maxMarketOrderNtls twapHistory
        userTwapSliceFills userTwapSliceFillsByTime referral maxBuilderFee approvedBuilders webData2
        userVaultEquities userDexAbstraction userToMultiSigSigners subAccounts2 preTransferCheck
        legalCheck isVip tokenDetails liquidatable perpDexLimits perpDexStatus delegatorSummary
        delegations delegatorRewards delegatorHistory"""
    ),
    OUT_OF_SCOPE: _words(
        """vaultDetails vaultSummaries leadingVaults perpDeployAuctionStatus spotDeployState
        spotPairDeployAuctionStatus validatorSummaries validatorL1Votes gossipRootIps
        gossipPriorityAuctionStatus borrowLendUserState borrowLendReserveState
        allBorrowLendReserveStates userBorrowLendInterest perpAnnotation perpCategories
        perpConciseAnnotations outcomeTemplates settledOutcome usdcRouting"""
    ),
}

ACTIONS: Final[dict[int, tuple[str, ...]]] = {
    1: _words(
        """order cancel cancelByCloid modify batchModify scheduleCancel updateLeverage
        updateIsolatedMargin approveAgent usdSend usdClassTransfer withdraw3 noop approveBuilderFee
        setReferrer"""
    ),
    2: _words(
        """topUpIsolatedOnlyMargin twapOrder twapCancel createSubAccount subAccountModify
        subAccountTransfer subAccountSpotTransfer spotSend sendAsset agentSendAsset
        reserveRequestWeight userSetAbstraction agentSetAbstraction userDexAbstraction
        agentEnableDexAbstraction registerReferrer setDisplayName spotUser"""
    ),
    OUT_OF_SCOPE: _words(
        """vaultTransfer vaultModify vaultDistribute createVault cDeposit cWithdraw tokenDelegate
        claimRewards convertToMultiSigUser multiSig perpDeploy spotDeploy evmUserModify
        finalizeEvmContract sendToEvmWithData CSignerAction CValidatorAction validatorL1Stream
        borrowLend userOutcome userPortfolioMargin linkStakingUser gossipPriorityBid
        hip3LiquidatorTransfer authorizeAqav2Role"""
    ),
}

CHANNELS: Final[dict[int, tuple[str, ...]]] = {
    1: _words(
        """allMids l2Book bbo trades candle activeAssetCtx activeAssetData orderUpdates userEvents
        userFills userFundings userNonFundingLedgerUpdates openOrders clearinghouseState
        webData2"""
    ),
    2: _words(
        """spotState notification userHistoricalOrders userTwapSliceFills userTwapHistory twapStates
        assetCtxs spotAssetCtxs allDexsAssetCtxs allDexsClearinghouseState webData3"""
    ),
    OUT_OF_SCOPE: _words("fastAssetCtxs outcomeMetaUpdates explorerBlock explorerTxs"),
}

USER: Final = "<user>"
COIN: Final = "<coin>"

_OF_MARKETS: Final = frozenset(
    _words("l2Book recentTrades activeAssetData fundingHistory bbo trades candle activeAssetCtx")
)
_OF_NOBODY: Final = frozenset(
    _words(
        """meta spotMeta metaAndAssetCtxs spotMetaAndAssetCtxs allPerpMetas perpDexs outcomeMeta
        exchangeStatus allMids l2Book candleSnapshot recentTrades fundingHistory marginTable
        predictedFundings perpsAtOpenInterestCap maxMarketOrderNtls tokenDetails liquidatable
        perpDexLimits perpDexStatus bbo trades candle activeAssetCtx assetCtxs spotAssetCtxs
        allDexsAssetCtxs fastAssetCtxs outcomeMetaUpdates explorerBlock explorerTxs"""
    )
)
_FURTHER: Final[dict[str, dict[str, Any]]] = {
    "fundingHistory": {"startTime": 0},
    "userFillsByTime": {"startTime": 0},
    "userTwapSliceFillsByTime": {"startTime": 0},
    "orderStatus": {"oid": 1},
    "marginTable": {"id": 25},
    "maxBuilderFee": {"builder": USER},
    "preTransferCheck": {"source": USER},
    "tokenDetails": {"tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054"},
    "perpDexLimits": {"dex": ""},
    "perpDexStatus": {"dex": ""},
    "candleSnapshot": {"req": {"coin": COIN, "interval": "1m", "startTime": 0}},
    "candle": {"interval": "1m"},
}


def request_of(kind: str, user: str, coin: str) -> dict[str, Any]:
    """Return the smallest well-formed question or subscription of a type."""
    request: dict[str, Any] = {"type": kind}
    if kind not in _OF_NOBODY:
        request["user"] = user
    if kind in _OF_MARKETS:
        request["coin"] = coin
    return {**request, **_filled(_FURTHER.get(kind, {}), {USER: user, COIN: coin})}


def _filled(value: Any, places: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, places) for key, item in value.items()}
    return places.get(value, value) if isinstance(value, str) else value


def tier_of(kind: str, surface: dict[int, tuple[str, ...]]) -> int | None:
    """Return the tier of a type; None if clients do not know it."""
    return next((tier for tier, kinds in surface.items() if kind in kinds), None)


@frozen
class Unused:
    """Calls of a client that are not made here, and why."""

    reason: str
    calls: tuple[str, ...]


UNUSED: Final[dict[str, tuple[Unused, ...]]] = {
    "Python SDK": (
        Unused(
            "a step of the constructor and of every other call",
            ("Info.post", "Info.set_perp_meta", "Exchange.post"),
        ),
    ),
    "ccxt": (
        Unused("ccxt itself raises NotSupported", ("fetchDepositWithdrawFee",)),
        Unused("vaults are out of scope", ("createVault",)),
        Unused(
            "every account is of the default mode",
            ("enableUserDexAbstraction", "setAgentAbstraction", "setUserAbstraction"),
        ),
    ),
    "ccxt.pro": (Unused("ccxt names it and does not have it", ("fetchCurrenciesWs",)),),
}
"""What clients have and the tests leave alone."""

CALLS: Final[dict[str, tuple[str, ...]]] = {
    "ccxt": _words(
        """addMargin cancelAllOrdersAfter cancelOrder cancelOrders cancelOrdersForSymbols
        cancelTwapOrder createLimitOrder createMarketOrder createOrder createOrders
        createOrderWithTakeProfitAndStopLoss createReduceOnlyOrder createStopOrder createSubAccount
        createTriggerOrder createTwapOrder editOrder editOrders fetchBalance
        fetchCanceledAndClosedOrders fetchCanceledOrders fetchClosedOrders fetchCurrencies
        fetchDeposits fetchFundingHistory fetchFundingRate fetchFundingRateHistory fetchFundingRates
        fetchL2OrderBook fetchLedger fetchMarkets fetchMyLiquidations fetchMyTrades fetchOHLCV
        fetchOpenInterest fetchOpenInterests fetchOpenOrders fetchOrder fetchOrderBook fetchOrders
        fetchPosition fetchPositions fetchStatus fetchTicker fetchTickers fetchTime fetchTrades
        fetchTradingFee fetchWithdrawals loadMarkets reduceMargin reserveRequestWeight setLeverage
        setMarginMode transfer withdraw"""
    ),
    "ccxt.pro": _words(
        """cancelOrderWs cancelOrdersWs createLimitOrderWs createMarketOrderWs createOrderWs
        createOrdersWs editOrderWs loadMarkets unWatchBalance unWatchMyTrades unWatchOHLCV
        unWatchOrderBook unWatchOrders unWatchPositions unWatchTicker unWatchTickers unWatchTrades
        watchBalance watchMyLiquidations watchMyLiquidationsForSymbols watchMyTrades watchOHLCV
        watchOrderBook watchOrders watchPositions watchTicker watchTickers watchTrades"""
    ),
}
"""What each client must have been seen to call in a complete run, beside the whole Python SDK."""
