// @ts-check
/** The dashboard of the admin refreshes itself. */

import { Refresher, morphParts } from "./admin-refresh.js";

new Refresher(morphParts).start();
