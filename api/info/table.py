"""Who answers which type of question.

Types with one fixed answer are in ``api.wire.metadata``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from api.gateway import Gateway
from api.info import accounts, markets, money, orders, terms
from api.info.portfolio import portfolio
from api.info.questions import Question

Answer = Callable[[Gateway, Question], bytes | Awaitable[bytes]]
"""Some wait for a view or the history; what the directory and the board know is there at once."""

ANSWERS: Final[dict[str, Answer]] = {
    "meta": markets.meta,
    "allPerpMetas": markets.all_perp_metas,
    "metaAndAssetCtxs": markets.meta_and_contexts,
    "spotMeta": markets.spot_meta,
    "spotMetaAndAssetCtxs": markets.spot_meta_and_contexts,
    "tokenDetails": markets.token_details,
    "marginTable": markets.margin_table,
    "maxMarketOrderNtls": markets.max_market_order_notionals,
    "perpsAtOpenInterestCap": markets.at_open_interest_cap,
    "predictedFundings": markets.predicted_fundings,
    "fundingHistory": markets.funding_history,
    "perpDexStatus": markets.dex_status,
    "allMids": markets.all_mids,
    "exchangeStatus": markets.exchange_status,
    "l2Book": markets.book,
    "recentTrades": markets.recent_trades,
    "candleSnapshot": markets.candles,
    "clearinghouseState": accounts.account_state,
    "spotClearinghouseState": accounts.spot_state,
    "activeAssetData": accounts.active_asset_data,
    "userRole": accounts.user_role,
    "extraAgents": accounts.extra_agents,
    "subAccounts": accounts.sub_accounts,
    "subAccounts2": accounts.sub_accounts_by_dex,
    "webData2": accounts.web_data,
    "preTransferCheck": accounts.transfer_check,
    "userRateLimit": terms.user_rate_limit,
    "userFees": terms.user_fees,
    "referral": terms.referral,
    "liquidatable": terms.liquidatable,
    "portfolio": portfolio,
    "openOrders": orders.open_orders,
    "frontendOpenOrders": orders.frontend_open_orders,
    "orderStatus": orders.order_status,
    "historicalOrders": orders.historical_orders,
    "twapHistory": orders.twap_history,
    "userFills": money.user_fills,
    "userFillsByTime": money.user_fills_by_time,
    "userTwapSliceFills": money.slice_fills,
    "userTwapSliceFillsByTime": money.slice_fills_by_time,
    "userFunding": money.user_funding,
    "userNonFundingLedgerUpdates": money.ledger_updates,
}

USER_TYPES: Final = frozenset(("userAbstraction",))
"""Types with a fixed answer that clients always ask about a user; asking about none is a mistake.
"""
