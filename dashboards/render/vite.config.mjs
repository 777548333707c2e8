import { defineConfig } from "vite";

export default defineConfig({
  define: { "process.env.NODE_ENV": '"production"', "process.env": "{}", global: "globalThis" },
  esbuild: { jsx: "automatic" },
  build: { minify: false, chunkSizeWarningLimit: 99999 },
  publicDir: false,
});
