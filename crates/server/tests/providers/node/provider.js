// An OpenID provider on a free port, for tests: says where it is, and ends when its standard input does. Whoever logs in
// as `ann` is an operator; whoever logs in as anybody else has no role.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const [clientId, clientSecret, publicUrl] = process.argv.slice(2);

const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });

const configuration = {
  clients: [
    {
      client_id: clientId,
      client_secret: clientSecret,
      redirect_uris: [`${publicUrl}/login/callback`],
      post_logout_redirect_uris: [`${publicUrl}/login`],
      id_token_signed_response_alg: "ES256",
    },
  ],
  jwks: { keys: [{ ...key, kid: "of-today", alg: "ES256", use: "sig" }] },
  cookies: { keys: ["of this test alone"] },
  claims: { openid: ["sub", "groups"], profile: ["preferred_username"], email: ["email", "email_verified"] },
  // What the scopes ask for stands in the ID token, as with the common providers.
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      preferred_username: id,
      email: `${id}@shop.example`,
      email_verified: true,
      groups: id === "ann" ? ["operators", "staff"] : ["staff"],
    }),
  }),
};

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  server.on("request", new Provider(issuer, configuration).callback());
  console.log(issuer);
});
process.stdin.resume().on("end", () => process.exit());
