// Draws images/icon.png from images/icon.svg with Chromium: node scripts/icon.mjs
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const images = join(import.meta.dirname, "..", "images");
const executablePath = process.env.EGATE_CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 256, height: 256 } });
await page.setContent(`<style>body { margin: 0 }</style>${readFileSync(join(images, "icon.svg"), "utf8")}`);
await page.screenshot({ path: join(images, "icon.png"), omitBackground: true });
await browser.close();
