# A shop with what runbooks and pages of errors name.
for sku in LIP-01 RIBBON DROP-07; do
  holdfast item put "$sku" --name "Item $sku"
  holdfast stock receive "$sku" --units 500
done
holdfast item put CREAM-50 --name "Cream" --lot-tracked --removal-days 30
holdfast location put shop-7
for lot in L2301 L2407 L2501 L2502; do
  holdfast stock receive CREAM-50 --lot "$lot" --best-before 2099-12 --units 200
done
holdfast item put LIP-77 --name "Lip 77" --preorder-at 2099-05-31T09:00:00Z --cap 500
holdfast kit put GIFT-SET --component LIP-01 --component RIBBON --name "Gift set"
holdfast limit put two-each DROP-07 2
holdfast channel put web --locations main,shop-7
holdfast campaign open drop --starts-at 2027-05-31T09:00:00Z --ends-at 2027-05-31T12:00:00Z
holdfast campaign grant drop LIP-01 100 || true # from its end on it is given nothing
holdfast count open RIBBON --stocktake spring-27
holdfast reserve LIP-01=2 --order-ref web-1001
printf 'sku,on_hand\nLIP-01,490\n' >counts.csv
printf 'sku,quantity\nRIBBON,5\n' >stock.csv
printf '[sale]\nid = "drop"\nstarts_at = "2099-05-31T09:00:00Z"\nends_at = "2099-05-31T12:00:00Z"\n[[line]]\nsku = "LIP-01"\nunits = 40\n' >drop.toml
ln -s holdfast-data data
